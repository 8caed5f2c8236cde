"""Images in DICOM, a series for each channel: CT in Hounsfield units, PET in standardised uptake values."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from haemosynth.core.errors import InputError
from haemosynth.modalities.images.formats.nifti import read_mask
from haemosynth.modalities.images.formats.volumes import Volume, check_header

MODALITIES = {"HU": "CT", "SUV": "PT"}
DOSES = (1e6, 1e11)  # Bq of a dose that a patient may have been given
LONGEST_WAIT = timedelta(hours=12)  # from injection to scan
NEEDED = ("ATTN", "DECY")  # corrections of a PET without which its values are no uptake


@dataclass
class Series:
    """The files of one series, and the descriptions in their headers: these may change midway, the series does not."""

    modality: str
    descriptions: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


def series_of(folder: Path) -> dict[str, list[Series]]:
    """The series under a folder, of each patient. What belongs together, the series' UID (0020,000E) decides; where
    it is missing, the description. Headers alone are read.

    Raises:
        InputError: no such folder, or no DICOM image in it.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    tags = ["PatientID", "Modality", "SeriesDescription", "SeriesInstanceUID"]
    found: dict[str, dict[tuple[str, str], Series]] = defaultdict(dict)
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
        one = found[patient].setdefault((modality, series or description), Series(modality))
        one.files.append(path)
        if description not in one.descriptions:
            one.descriptions.append(description)
    if not found:
        raise InputError(f"{folder}: no DICOM file")
    return {patient: list(series.values()) for patient, series in sorted(found.items())}


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


def _files(folder: Path, patient: str, series: Sequence[Series], name: str, channel: Mapping[str, Any]) -> list[Path]:
    """The files of a patient's series for a channel."""
    modality = str(channel.get("modality") or MODALITIES.get(str(channel["unit"]), ""))
    pattern = str(channel.get("series", "*"))
    fits = [
        one
        for one in series
        if one.modality == modality and any(fnmatchcase(description, pattern) for description in one.descriptions)
    ]
    if not fits:
        there = ", ".join(f"{one.modality} {' / '.join(one.descriptions)!r}" for one in series[:6])
        raise InputError(
            f"{folder}, patient {patient}: no series of {name} (modality {modality}, series {pattern}); there are"
            f" {there}"
        )
    if len(fits) > 1:
        told = " and ".join(repr(" / ".join(one.descriptions)) for one in fits[:2])
        raise InputError(
            f"{folder}, patient {patient}: {name} occurs twice ({told}); choose one by its description: `series:`"
        )
    return fits[0].files


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
    evenly spaced: a missing slice is an error, as is a repeated one. From slice to slice the volume goes as the slices'
    places do, (last - first) / (n - 1): with a tilted gantry that is not along the normal.

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
        same = [
            (header.Rows, header.Columns) == (rows, columns)
            and np.allclose(
                [*header.PixelSpacing, *header.ImageOrientationPatient],
                [*first.PixelSpacing, *first.ImageOrientationPatient],
                atol=1e-3,
            )
            for header in headers
        ]
    except AttributeError as error:
        if int(headers[0].get("NumberOfFrames", 1) or 1) > 1:
            raise InputError(
                f"{where}: {paths[0].name} holds {headers[0].NumberOfFrames} frames; expected one file for each slice"
            ) from None
        raise InputError(f"{where}: a tag of the geometry is missing: {error}") from None
    except Exception as error:  # damaged files end in many kinds of errors
        raise InputError(f"{where}: cannot be read as DICOM: {' '.join(str(error).split())}") from None
    if not all(same):
        raise InputError(f"{paths[same.index(False)]}, patient {patient}: the geometry differs from the other slices'")
    normal = np.cross(along_row, along_column)
    order = np.argsort(places @ normal, kind="stable")
    steps = np.diff((places @ normal)[order])
    if len(paths) < 2:
        raise InputError(f"{where}: one slice; expected a series")
    if steps.min() < 1e-3:
        raise InputError(f"{where}: two slices are at the same place; is the series exported twice?")
    if steps.max() > 1.05 * np.median(steps) + 0.01:
        raise InputError(f"{where}: a slice is missing (steps of {np.median(steps):.3g} and {steps.max():.3g} mm)")
    places = places[order]
    step = (places[-1] - places[0]) / (len(paths) - 1)
    astray = np.linalg.norm(places - places[0] - np.outer(np.arange(len(paths)), step), axis=1)
    if astray.max() > max(down, across) / 2 + 0.05 * np.median(steps) * len(paths):
        raise InputError(
            f"{where}: the slices do not lie in a row ({paths[order[int(astray.argmax())]].name} is"
            f" {astray.max():.3g} mm astray); are two series mixed?"
        )
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = along_row * across, along_column * down
    affine[:3, 2], affine[:3, 3] = step, places[0]
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
        if plane.shape != (rows, columns):
            told = " x ".join(map(str, plane.shape))
            raise InputError(
                f"{paths[i]}, patient {patient}: {told} values; expected {rows} x {columns} of one channel"
            )
        # Slope and intercept differ from slice to slice in PET.
        slope, intercept = (
            _number(stored, tag, f"{paths[i]}, patient {patient}") for tag in ("RescaleSlope", "RescaleIntercept")
        )
        if slope is None or intercept is None:
            raise InputError(f"{paths[i]}, patient {patient}: the rescale (0028,1052 and 0028,1053) is missing")
        values[:, :, k] = (plane * slope + intercept).T * scale
    return Volume(values, affine, folder)


def _number(header: Any, tag: str | tuple[int, int], where: str) -> float | None:
    """The number under a tag, None where it is missing or empty.

    Raises:
        InputError: what stands there is no number.
    """
    try:
        found = header.get(tag)
        found = getattr(found, "value", found)  # of a private tag the whole element comes
        return None if found is None or str(found).strip() == "" else float(found)
    except (TypeError, ValueError) as error:
        name = tag if isinstance(tag, str) else f"({tag[0]:04x},{tag[1]:04x})"
        raise InputError(f"{where}: {name} is no number: {' '.join(str(error).split())}") from None


def suv_factor(headers: Sequence[Any], where: str, weight: float | None = None) -> float:
    """What rescaled PET values are multiplied with to give standardised uptake values by body weight.

    Activity in Bq/mL times body weight in g over the dose, decayed to the moment that images are corrected to: the
    start of the scan (`DecayCorrection` START) or the injection (ADMIN). The start is the earliest acquisition, or the
    time of the series where that is earlier: a later one is that of a reconstruction. GML is SUV already if by body
    weight. CNTS is told by the maker's private factor alone. See the QIBA pseudocode for SUV (Kinahan and Fletcher,
    Semin Ultrasound CT MR 2010;31:496 for the quantity itself).

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
        factor = _number(first, (0x7053, 0x1000), where)
        if factor is not None and factor > 0:
            return factor
        raise InputError(f"{where}: units are counts (CNTS) without the maker's SUV factor (7053,1000)")
    if units != "BQML":
        raise InputError(f"{where}: units {units or 'missing'} (0054,1001); expected BQML, GML or CNTS")
    done = first.get("CorrectedImage")
    corrections = [] if done is None else [done] if isinstance(done, str) else [str(part) for part in done]
    for needed, word in zip(NEEDED, ("attenuation", "decay"), strict=True):
        if corrections and needed not in corrections:
            raise InputError(
                f"{where}: the images are not corrected for {word} (0028,0051 is {', '.join(corrections)}, without"
                f" {needed}); choose the corrected series by its description: `series:`"
            )
    kilograms = weight if weight is not None else _number(first, "PatientWeight", where)
    if not kilograms:
        raise InputError(f"{where}: the weight (0010,1030) is missing; state it: `weights: {{PATIENT: kilograms}}`")
    if not 2 <= kilograms <= 400:
        raise InputError(f"{where}: a weight of {kilograms:g} kg (0010,1030); expected kilograms")
    sequence = first.get("RadiopharmaceuticalInformationSequence")
    if not sequence:
        raise InputError(f"{where}: the radiopharmaceutical (0054,0016) is missing")
    tracer = sequence[0]
    dose = _number(tracer, "RadionuclideTotalDose", where)
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
    half_life = _number(tracer, "RadionuclideHalfLife", where)
    if not half_life or half_life <= 0:
        raise InputError(f"{where}: the half-life (0018,1075) is missing")
    waited = _find_wait(headers, tracer, where)
    return kilograms * 1000 / (dose * math.pow(0.5, waited.total_seconds() / half_life))


def _find_wait(headers: Sequence[Any], tracer: Any, where: str) -> timedelta:
    """From injection to the start of the scan."""
    missing = [
        tag
        for tag, found in {
            "AcquisitionDateTime (0008,002A)": headers[0].get("AcquisitionDateTime"),
            "AcquisitionDate (0008,0022)": headers[0].get("AcquisitionDate"),
            "AcquisitionTime (0008,0032)": headers[0].get("AcquisitionTime"),
        }.items()
        if not found
    ]
    starts = [moment for header in headers if (moment := _find_acquisition(header)) is not None]
    if not starts:
        raise InputError(
            f"{where}: the start of the scan is missing: {', '.join(missing) or 'its date or time is none'};"
            " expected the first, or the other two (the time of the series may be that of a later reconstruction)"
        )
    named = _moment(headers[0].get("SeriesDate"), headers[0].get("SeriesTime"))
    start = min([*starts, *([named] if named else [])])
    dated = tracer.get("RadiopharmaceuticalStartDateTime")
    injected = _moment_of(dated)
    zones = [_offset(dated), _offset(headers[0].get("TimezoneOffsetFromUTC") or headers[0].get("AcquisitionDateTime"))]
    if injected is not None and zones[0] is not None and zones[1] is not None:
        injected += zones[1] - zones[0]
    if injected is None:
        injected = _moment(start.strftime("%Y%m%d"), tracer.get("RadiopharmaceuticalStartTime"))
        if injected is None:
            raise InputError(
                f"{where}: the time of injection is missing: RadiopharmaceuticalStartDateTime (0018,1078)"
                " and RadiopharmaceuticalStartTime (0018,1072)"
            )
        if injected > start:  # the time bears no date: injected before midnight
            injected -= timedelta(days=1)
    waited = start - injected
    if not timedelta(0) <= waited <= LONGEST_WAIT:
        raise InputError(
            f"{where}: {waited.total_seconds() / 3600:.1f} hours from injection ({injected:%Y-%m-%d %H:%M}) to scan"
            f" ({start:%Y-%m-%d %H:%M}); mend the times (0018,1072 or 0018,1078, 0008,0032 or 0008,002A)"
        )
    return waited


def _find_acquisition(header: Any) -> datetime | None:
    """When a slice was acquired; the time of the series, which says it less surely, is left aside."""
    plain = _moment(header.get("AcquisitionDate"), header.get("AcquisitionTime"))
    return plain or _moment_of(header.get("AcquisitionDateTime"))


def _offset(whole: Any) -> timedelta | None:
    """The time zone at the end of a DICOM date and time, such as +0100; None where there is none."""
    found = re.search(r"([+-])(\d{2})(\d{2})$", str(whole or "").strip())
    if not found:
        return None
    away = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return -away if found[1] == "-" else away


def _moment_of(whole: Any) -> datetime | None:
    """A DICOM date and time in one value, in the scanner's own time; None where it is missing or lacks the time."""
    text = str(whole or "").strip()
    return _moment(text[:8], text[8:]) if len(text) >= 12 else None


def _moment(date: Any, time: Any) -> datetime | None:
    """A DICOM date and time (also as older files have them, 2024.01.05 and 11:00:00); None where there is none."""
    day = str(date or "").strip().replace(".", "")[:8]
    clock = str(time or "").split("+")[0].split("-")[0].strip().replace(":", "")
    digits, _, fraction = clock.partition(".")
    try:
        moment = datetime.strptime(day + digits.ljust(6, "0")[:6], "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return moment + timedelta(seconds=float(f"0.{fraction}") if fraction.isdigit() else 0) if digits else None
