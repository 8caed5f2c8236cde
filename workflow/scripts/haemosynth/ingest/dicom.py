"""Images in DICOM, a series for each channel: CT in Hounsfield units, PET in standardised uptake values."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from haemosynth.errors import InputError
from haemosynth.ingest.nifti import read_mask
from haemosynth.ingest.volumes import Volume, check_header

MODALITIES = {"HU": "CT", "SUV": "PT"}
DOSES = (1e6, 1e11)  # Bq of a dose that a patient may have been given
LONGEST_WAIT = timedelta(hours=12)  # from injection to scan


def series_of(folder: Path) -> dict[str, dict[tuple[str, str, str], list[Path]]]:
    """The series under a folder: patient -> (modality, description, series) -> files. Headers alone are read.

    Raises:
        InputError: no such folder, or no DICOM image in it.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    tags = ["PatientID", "Modality", "SeriesDescription", "SeriesInstanceUID"]
    found: dict[str, dict[tuple[str, str, str], list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name == "DICOMDIR":
            continue
        try:
            header = pydicom.dcmread(path, specific_tags=tags, stop_before_pixels=True)
        except (InvalidDicomError, OSError, ValueError, EOFError):
            continue  # other files may lie beside a series
        patient, modality, description, series = (str(header.get(tag, "") or "").strip() for tag in tags)
        if not patient:
            raise InputError(f"{path}: the patient's identifier (0010,0020) is missing")
        found[patient][modality, description, series].append(path)
    if not found:
        raise InputError(f"{folder}: no DICOM file")
    return {patient: dict(series) for patient, series in sorted(found.items())}


def patients_of(folder: Path, entry: Mapping[str, Any], where: str) -> list[str]:
    """The patients who have a series of every channel.

    Raises:
        InputError: a channel of one of them is missing, or could be meant by two series.
    """
    found = series_of(folder)
    for patient, series in found.items():
        for name, channel in entry["channels"].items():
            _files(folder, patient, series, name, channel)
    return list(found)


def _files(
    folder: Path,
    patient: str,
    series: Mapping[tuple[str, str, str], list[Path]],
    name: str,
    channel: Mapping[str, Any],
) -> list[Path]:
    """The files of a patient's series for a channel."""
    modality = str(channel.get("modality") or MODALITIES.get(str(channel["unit"]), ""))
    pattern = str(channel.get("series", "*"))
    fits = [key for key in series if key[0] == modality and fnmatchcase(key[1], pattern)]
    if not fits:
        raise InputError(f"{folder}, patient {patient}: no series of {name} (modality {modality}, series {pattern})")
    if len(fits) > 1:
        told = " and ".join(repr(key[1] or key[2]) for key in fits[:2])
        raise InputError(
            f"{folder}, patient {patient}: {name} stands twice ({told}); choose one by its description: `series:`"
        )
    return series[fits[0]]


def read_patient(
    folder: Path, patient: str, entry: Mapping[str, Any], where: str
) -> tuple[dict[str, Volume], Volume | None, str]:
    """The channels of a patient from DICOM and the mask, which stands in a NIfTI file, with its channel."""
    series = series_of(folder)[patient]
    volumes = {
        name: read_series(_files(folder, patient, series, name, channel), patient, channel)
        for name, channel in entry["channels"].items()
    }
    return volumes, *read_mask(folder, patient, entry, where)


def read_series(paths: Sequence[Path], patient: str, channel: Mapping[str, Any]) -> Volume:
    """One series as a volume in the channel's unit.

    Slices are ordered by their position along the normal of the image plane (not by their number), which must be
    evenly spaced: a missing slice is an error, as is a repeated one.

    Raises:
        InputError: slices of different geometry, gaps, no rescale, or no way to the unit.
    """
    import pydicom

    folder = paths[0].parent
    where = f"{folder}, patient {patient}"
    try:
        headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
        first = headers[0]
        rows, columns = int(first.Rows), int(first.Columns)
        down, across = (float(step) for step in first.PixelSpacing)
        along_row, along_column = np.array(first.ImageOrientationPatient, dtype=float).reshape(2, 3)
        places = np.array([header.ImagePositionPatient for header in headers], dtype=float)
    except AttributeError as error:
        raise InputError(f"{where}: a tag of the geometry is missing: {error}") from None
    except Exception as error:  # damaged files end in many kinds of errors
        raise InputError(f"{where}: cannot be read as DICOM: {' '.join(str(error).split())}") from None
    for path, header in zip(paths, headers, strict=True):
        same = (header.Rows, header.Columns) == (rows, columns) and np.allclose(
            [*header.PixelSpacing, *header.ImageOrientationPatient],
            [*first.PixelSpacing, *first.ImageOrientationPatient], atol=1e-3,
        )  # fmt: skip
        if not same:
            raise InputError(f"{path}, patient {patient}: the geometry differs from that of the other slices")
    normal = np.cross(along_row, along_column)
    order = np.argsort(places @ normal, kind="stable")
    steps = np.diff((places @ normal)[order])
    if len(paths) < 2:
        raise InputError(f"{where}: one slice; expected a series")
    if steps.min() < 1e-3:
        raise InputError(f"{where}: two slices lie at the same place; is the series exported twice?")
    if steps.max() > 1.05 * np.median(steps) + 0.01:
        raise InputError(f"{where}: a slice is missing (steps of {np.median(steps):.3g} and {steps.max():.3g} mm)")
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = along_row * across, along_column * down
    affine[:3, 2], affine[:3, 3] = normal * steps.mean(), places[order[0]]
    affine[:2] *= -1  # DICOM's axes go to the left and to the back
    check_header((columns, rows, len(paths)), affine, where)
    values = np.empty((columns, rows, len(paths)), dtype=np.float32)
    scale = suv_factor(headers, where, channel.get("weights", {}).get(patient)) if channel["unit"] == "SUV" else 1.0
    for k, i in enumerate(order):
        try:
            stored = pydicom.dcmread(paths[i])
            plane = stored.pixel_array.astype(np.float32)
        except Exception as error:  # damaged or compressed in a way that is not read here
            told = " ".join(str(error).split())
            raise InputError(f"{paths[i]}, patient {patient}: the pixels cannot be read: {told}") from None
        if "RescaleSlope" not in stored or "RescaleIntercept" not in stored:
            raise InputError(f"{paths[i]}, patient {patient}: the rescale (0028,1052 and 0028,1053) is missing")
        # Slope and intercept differ from slice to slice in PET.
        values[:, :, k] = (plane * float(stored.RescaleSlope) + float(stored.RescaleIntercept)).T * scale
    return Volume(values, affine, folder)


def suv_factor(headers: Sequence[Any], where: str, weight: float | None = None) -> float:
    """What rescaled PET values are multiplied with to give standardised uptake values by body weight.

    Activity in Bq/mL times body weight in g over the dose, decayed to the moment that images are corrected to: the
    start of the scan (`DecayCorrection` START) or the injection (ADMIN). The start is the earliest acquisition: the
    time of the series may be that of a later reconstruction. GML is SUV already if by body weight. CNTS is told by
    the maker's private factor alone. See the QIBA pseudocode for SUV (Kinahan and Fletcher, Semin Ultrasound CT MR
    2010;31:496 for the quantity itself).

    Args:
        headers: of all slices. weight: kilograms, where the study states them in place of the header.

    Raises:
        InputError: a tag is missing or absurd; the line names it.
    """
    first = headers[0]
    units = str(first.get("Units", "") or "").upper()
    if units == "GML":
        kind = str(first.get("SUVType", "") or "BW").upper()
        if kind != "BW":
            raise InputError(f"{where}: SUV by {kind} (0054,1006); expected body weight (BW)")
        return 1.0
    if units == "CNTS":
        found = first.get((0x7053, 0x1000))
        factor = float(found.value) if found is not None else 0.0
        if factor > 0:
            return factor
        raise InputError(f"{where}: units are counts (CNTS) without the maker's SUV factor (7053,1000)")
    if units != "BQML":
        raise InputError(f"{where}: units {units or 'missing'} (0054,1001); expected BQML, GML or CNTS")
    kilograms = weight if weight is not None else float(first.get("PatientWeight", 0) or 0)
    if not kilograms:
        raise InputError(f"{where}: the weight (0010,1030) is missing; state it: `weights: {{PATIENT: kilograms}}`")
    if not 2 <= kilograms <= 400:
        raise InputError(f"{where}: a weight of {kilograms:g} kg (0010,1030); expected kilograms")
    sequence = first.get("RadiopharmaceuticalInformationSequence")
    if not sequence:
        raise InputError(f"{where}: the radiopharmaceutical (0054,0016) is missing")
    tracer = sequence[0]
    dose = float(tracer.get("RadionuclideTotalDose", 0) or 0)
    if not dose:
        raise InputError(f"{where}: the dose (0018,1074) is missing")
    if not DOSES[0] <= dose <= DOSES[1]:
        unit = "; it looks like MBq" if dose < 1e5 else ""
        raise InputError(f"{where}: a dose of {dose:g} (0018,1074); expected becquerels{unit}")
    correction = str(first.get("DecayCorrection", "") or "").upper()
    if correction == "ADMIN":
        return kilograms * 1000 / dose
    if correction != "START":
        raise InputError(f"{where}: decay correction {correction or 'missing'} (0054,1102); expected START or ADMIN")
    half_life = float(tracer.get("RadionuclideHalfLife", 0) or 0)
    if half_life <= 0:
        raise InputError(f"{where}: the half-life (0018,1075) is missing")
    waited = _waited(headers, tracer, where)
    return kilograms * 1000 / (dose * math.pow(0.5, waited.total_seconds() / half_life))


def _waited(headers: Sequence[Any], tracer: Any, where: str) -> timedelta:
    """From injection to the start of the scan."""
    starts = [m for h in headers for m in [_moment(h.get("AcquisitionDate"), h.get("AcquisitionTime"))] if m]
    named = _moment(headers[0].get("SeriesDate"), headers[0].get("SeriesTime"))
    starts += [named] if named else []
    if not starts:
        raise InputError(f"{where}: no time of acquisition (0008,0032) or series (0008,0031)")
    start = min(starts)
    whole = str(tracer.get("RadiopharmaceuticalStartDateTime", "") or "")
    injected = _moment(whole[:8], whole[8:]) if len(whole) >= 14 else None
    if injected is None:
        injected = _moment(start.strftime("%Y%m%d"), tracer.get("RadiopharmaceuticalStartTime"))
        if injected is None:
            raise InputError(f"{where}: the time of injection (0018,1072) is missing")
        if injected > start:  # the time bears no date: injected before midnight
            injected -= timedelta(days=1)
    waited = start - injected
    if not timedelta(0) <= waited <= LONGEST_WAIT:
        raise InputError(
            f"{where}: {waited.total_seconds() / 3600:.1f} hours from injection ({injected:%Y-%m-%d %H:%M}) to scan"
            f" ({start:%Y-%m-%d %H:%M}); mend the times (0018,1072 or 0018,1078, 0008,0032)"
        )
    return waited


def _moment(date: Any, time: Any) -> datetime | None:
    """A DICOM date and time; None where either is missing or no date or time."""
    day = str(date or "").strip()[:8]
    digits, _, fraction = str(time or "").split("+")[0].split("-")[0].strip().partition(".")
    try:
        moment = datetime.strptime(day + digits.ljust(6, "0")[:6], "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return moment + timedelta(seconds=float(f"0.{fraction}") if fraction.isdigit() else 0) if digits else None
