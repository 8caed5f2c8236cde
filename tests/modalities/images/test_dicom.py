"""DICOM series: geometry, Hounsfield units, and standardised uptake values by body weight with their pitfalls."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from haemosynth.core.errors import InputError
from haemosynth.modalities.images.formats.dicom import patients_of, read_patient, read_series, suv_factor

HALF_LIFE = 6586.2  # seconds, fluorine-18
ENTRY = {
    "channels": {"CT": {"unit": "HU", "window": [-160, 240]}, "PET": {"unit": "SUV", "window": [0, 10]}},
}


def tracer(**changed):
    item = Dataset()
    item.RadionuclideTotalDose = 350e6
    item.RadionuclideHalfLife = HALF_LIFE
    item.RadiopharmaceuticalStartTime = "100000.00"
    for name, value in changed.items():
        setattr(item, name, value)
    return item


def header(**changed):
    """A PET header; None takes a tag away."""
    found = Dataset()
    found.Units, found.DecayCorrection, found.PatientWeight = "BQML", "START", 70.0
    found.SeriesDate = found.AcquisitionDate = "20240105"
    found.SeriesTime = found.AcquisitionTime = "110000"
    found.RadiopharmaceuticalInformationSequence = [tracer()]
    for name, value in changed.items():
        if value is None:
            delattr(found, name)
        else:
            setattr(found, name, value)
    return found


def write_series(
    folder, modality, planes, patient="P1", description="whole body", slopes=None, tilt=0.0, **changed
):  # fmt: skip
    """One file per plane, named and numbered against their order along the body, of a gantry tilted by degrees."""
    lean = np.deg2rad(tilt)
    folder.mkdir(parents=True, exist_ok=True)
    series = generate_uid()
    paths = []
    for k, plane in enumerate(planes):
        data = header(**changed) if modality == "PT" else Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.PatientID, data.Modality, data.SeriesDescription = patient, modality, description
        data.SeriesInstanceUID, data.InstanceNumber = series, len(planes) - k
        data.Rows, data.Columns = plane.shape
        data.PixelSpacing, data.ImageOrientationPatient = [2.0, 4.0], [1, 0, 0, 0, np.cos(lean), -np.sin(lean)]
        data.ImagePositionPatient = [10.0, 20.0, 3.0 * k]
        data.RescaleSlope = 1.0 if slopes is None else slopes[k]
        data.RescaleIntercept = -1024.0 if modality == "CT" else 0.0
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 0
        data.PixelData = plane.astype(np.uint16).tobytes()
        path = folder / f"{len(planes) - k:03d}.dcm"
        pydicom.dcmwrite(path, data, enforce_file_format=True)
        paths.append(path)
    return paths


def planes(value=1064, count=4):
    found = [np.zeros((6, 5), dtype=np.uint16) for _ in range(count)]
    found[1][2, 3] = value
    return found


def test_a_series_keeps_the_place_of_a_voxel_and_its_value(tmp_path):
    """Slices are ordered by place; row 2 and column 3 of the second slice lie where the standard says (C.7.6.2.1)."""
    volume = read_series(write_series(tmp_path, "CT", planes()), "P1", {"unit": "HU"})
    assert volume.values.shape == (5, 6, 4)
    assert volume.values.min() == -1024
    place = np.argwhere(volume.values == 40)[0]
    millimetres = volume.affine @ [*place, 1]
    assert np.allclose(millimetres[:3], [-(10 + 3 * 4), -(20 + 2 * 2), 3])  # left and back are negative here
    assert np.allclose(volume.spacing, [4, 2, 3])


def test_with_a_tilted_gantry_the_table_still_moves_along_the_body(tmp_path):
    """The same pixel of every slice lies at the same place seen from below: an upright rod stays upright."""
    volume = read_series(write_series(tmp_path, "CT", planes(count=20), tilt=15.0), "P1", {"unit": "HU"})
    rod = np.array([[2, 3, k, 1] for k in range(20)]) @ volume.affine.T
    assert np.allclose(rod[:, :2], rod[0, :2])
    assert np.allclose(np.diff(rod[:, 2]), 3.0)


def test_slices_that_do_not_lie_in_a_row_are_told(tmp_path):
    paths = write_series(tmp_path, "CT", planes(count=6))
    changed(paths[3], "ImagePositionPatient", [40.0, 20.0, 9.0])
    with pytest.raises(InputError, match="30 mm astray"):
        read_series(paths, "P1", {"unit": "HU"})


def test_a_series_is_what_bears_its_identifier_whatever_its_descriptions(tmp_path):
    paths = write_series(tmp_path, "CT", planes(count=6), description="CT 10-59")
    for path in paths[3:]:
        changed(path, "SeriesDescription", "CT 11-00")
    write_series(tmp_path / "other", "CT", planes(), description="topogram")
    channel = {"unit": "HU", "window": [-160, 240]}
    for pattern in ("CT*", "CT 11-00"):
        volumes, _, _ = read_patient(tmp_path, "P1", {"channels": {"CT": {**channel, "series": pattern}}}, "here")
        assert volumes["CT"].values.shape == (5, 6, 6)
    with pytest.raises(InputError, match=r"occurs twice .'CT 11-00 / CT 10-59' and 'topogram'"):
        patients_of(tmp_path, {"channels": {"CT": channel}}, "here")
    with pytest.raises(InputError, match=r"there are CT 'CT 11-00 / CT 10-59', CT 'topogram'"):
        patients_of(tmp_path, {"channels": {"CT": {**channel, "series": "MR*"}}}, "here")


def test_a_mask_lies_on_a_series_whose_axes_go_the_other_way(tmp_path):
    """A mask as tools write it: to the right, front and head, where DICOM goes to the left and back."""
    from haemosynth.modalities.images.formats.volumes import Volume, canonical, check_mask

    volume = read_series(write_series(tmp_path, "CT", planes()), "P1", {"unit": "HU"})
    turned = canonical(volume)
    assert np.diag(turned.affine).min() > 0
    mask = check_mask(Volume((turned.values == 40).astype(np.uint8), turned.affine, "mask"), volume, "here")
    place = [np.append(np.argwhere(found)[0], 1) for found in (mask.values > 0, volume.values == 40)]
    assert np.allclose(mask.affine @ place[0], volume.affine @ place[1])


def test_uptake_values_by_hand(tmp_path):
    """1 h from injection to scan: activity over the decayed dose per gram; the slope of each slice is its own."""
    paths = write_series(tmp_path, "PT", planes(1000), slopes=[1.0, 20.0, 1.0, 1.0])
    volume = read_series(paths, "P1", {"unit": "SUV"})
    decayed = 350e6 * 2 ** (-3600 / HALF_LIFE)
    assert volume.values.max() == pytest.approx(20000 * 70000 / decayed, rel=1e-6)


def test_corrections_and_units():
    plain = suv_factor([header()], "here")
    assert suv_factor([header(DecayCorrection="ADMIN")], "here") == pytest.approx(70000 / 350e6)
    assert plain == pytest.approx(70000 / 350e6 * 2 ** (3600 / HALF_LIFE))
    assert suv_factor([header(Units="GML")], "here") == 1.0
    counts = header(Units="CNTS")
    counts.add_new((0x7053, 0x1000), "DS", "0.004")
    assert suv_factor([counts], "here") == 0.004
    # A later reconstruction moves the time of the series, not that of the acquisition.
    assert suv_factor([header(SeriesTime="153000")], "here") == pytest.approx(plain)
    # The earliest bed position counts, whichever slice is read first.
    assert suv_factor([header(AcquisitionTime="111500", SeriesTime="111500"), header()], "here") == pytest.approx(plain)


def test_the_start_of_the_scan_stands_in_any_of_its_tags():
    """Without a time of acquisition the date and time in one value count, not the series of a later reconstruction."""
    plain = suv_factor([header()], "here")
    assert 5000 * plain == pytest.approx(1.4606, abs=1e-4)
    late = {"AcquisitionTime": None, "SeriesTime": "153000"}
    assert suv_factor([header(**late, AcquisitionDateTime="20240105110000.000000")], "here") == pytest.approx(plain)
    assert suv_factor([header(**late, AcquisitionDate=None, AcquisitionDateTime="20240105110000")], "here") == (
        pytest.approx(plain)
    )
    # In other time zones: injected at 9:00 universal time, scanned at 11:00 of a zone an hour ahead.
    dated = tracer(RadiopharmaceuticalStartDateTime="20240105090000+0000")
    zoned = header(
        **late, AcquisitionDateTime="20240105110000+0100", RadiopharmaceuticalInformationSequence=[dated]
    )  # fmt: skip
    assert suv_factor([zoned], "here") == pytest.approx(plain)
    # As files of older standards have them.
    old = header(AcquisitionDate="2024.01.05", AcquisitionTime="11:00:00")
    assert suv_factor([old], "here") == pytest.approx(plain)
    # Corrections that are told must hold those which an uptake needs.
    assert suv_factor([header(CorrectedImage=["DECY", "ATTN", "SCAT"])], "here") == pytest.approx(plain)


def test_midnight_and_dates():
    late = tracer(RadiopharmaceuticalStartTime="233000")
    after = header(AcquisitionTime="003000", SeriesTime="003000", RadiopharmaceuticalInformationSequence=[late])
    assert suv_factor([after], "here") == pytest.approx(suv_factor([header()], "here"))
    dated = tracer(RadiopharmaceuticalStartDateTime="20240105100000.00")
    same = header(RadiopharmaceuticalInformationSequence=[dated])
    assert suv_factor([same], "here") == pytest.approx(suv_factor([header()], "here"))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (header(PatientWeight=None), "the weight .* is missing"), (header(PatientWeight=0), "the weight"),
        (header(PatientWeight=70000), "expected kilograms"), (header(Units=None), "units missing"),
        (header(Units="CNTS"), "counts"), (header(Units="PROPCPS"), "units PROPCPS"),
        (header(AcquisitionDate=None, SeriesDate=None),
         "AcquisitionDateTime .0008,002A., AcquisitionDate .0008,0022.; expected"),
        (header(AcquisitionTime=None), "AcquisitionDateTime .0008,002A., AcquisitionTime .0008,0032.; expected"),
        (header(RadiopharmaceuticalInformationSequence=[tracer(RadiopharmaceuticalStartTime="")]),
         "StartDateTime .0018,1078. and RadiopharmaceuticalStartTime"),
        (header(CorrectedImage=["DECY", "SCAT"]), "not corrected for attenuation"),
        (header(CorrectedImage="ATTN"), "not corrected for decay"),
        (header(DecayCorrection=None), "decay correction missing"),
        (header(DecayCorrection="NONE"), "decay correction NONE"),
        (header(RadiopharmaceuticalInformationSequence=[tracer(RadionuclideTotalDose=350.0)]), "looks like MBq"),
        (header(RadiopharmaceuticalInformationSequence=[tracer(RadionuclideHalfLife=0)]), "half-life"),
        (header(RadiopharmaceuticalInformationSequence=None), "radiopharmaceutical"),
        (header(RadiopharmaceuticalInformationSequence=[tracer(RadiopharmaceuticalStartDateTime="20240103100000")]),
         "hours from injection"),
    ],
)  # fmt: skip
def test_what_gives_no_uptake_value_is_told(found, words):
    with pytest.raises(InputError, match=words):
        suv_factor([found], "here")


def test_lean_body_mass_is_refused_and_a_stated_weight_is_taken():
    lean = header(Units="GML")
    lean.SUVType = "LBM"
    with pytest.raises(InputError, match="LBM"):
        suv_factor([lean], "here")
    assert suv_factor([header(PatientWeight=None)], "here", 70.0) == pytest.approx(suv_factor([header()], "here"))


def test_patients_and_their_series(tmp_path):
    for name in ("P1", "P2"):
        write_series(tmp_path / name / "ct", "CT", planes(), patient=name)
        write_series(tmp_path / name / "pet", "PT", planes(1000), patient=name)
    (tmp_path / "notes.txt").write_text("not a series")
    assert patients_of(tmp_path, ENTRY, "here") == ["P1", "P2"]
    volumes, mask, _ = read_patient(tmp_path, "P2", ENTRY, "here")
    assert set(volumes) == {"CT", "PET"}
    assert mask is None
    write_series(tmp_path / "again", "CT", planes(), patient="P2", description="thin")
    with pytest.raises(InputError, match=r"P2: CT occurs twice .*thin"):
        patients_of(tmp_path, ENTRY, "here")
    chosen = {"channels": {**ENTRY["channels"], "CT": {**ENTRY["channels"]["CT"], "series": "whole*"}}}
    assert patients_of(tmp_path, chosen, "here") == ["P1", "P2"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda paths: paths.pop(1).unlink(), "a slice is missing"),
        (lambda paths: paths.append(paths[0]), "at the same place"),
        (lambda paths: paths[1].write_bytes(b"none"), "cannot be read as DICOM"),
        (lambda paths: changed(paths[1], "PixelSpacing", [1.0, 1.0]), "geometry differs"),
        (lambda paths: changed(paths[1], "RescaleSlope", None), "rescale"),
        (lambda paths: changed(paths[1], "ImagePositionPatient", None), "geometry is missing"),
        (lambda paths: changed(paths[1], "Rows", None), "geometry is missing"),
        (lambda paths: changed(paths[1], "PixelData", bytes(20)), "cannot be read"),
    ],
)
def test_a_damaged_series_is_told_with_its_patient(tmp_path, spoil, words):
    paths = write_series(tmp_path, "CT", planes())
    spoil(paths)
    with pytest.raises(InputError, match=words) as caught:
        read_series(paths, "P1", {"unit": "HU"})
    assert "P1" in str(caught.value)


def changed(path, tag, value):
    data = pydicom.dcmread(path)
    if value is None:
        delattr(data, tag)
    else:
        setattr(data, tag, value)
    data.save_as(path)
