"""Images: PET/CT slices and microscope fields with their masks, owned by patients."""

from haemosynth.modalities.modality import Modality, Resources

MODALITY = Modality(
    name="images",
    called="the images",
    files=("images.zarr",),
    of_record=False,
    given=("clinical", "genomic"),
    environment="images",
    jobs={
        "ingest": Resources(memory=8000, runtime=60),
        "fit": Resources(memory=8000, runtime=240, gpu=True),
        "sample": Resources(memory=8000, runtime=120, gpu=True),
    },
    folder=True,
    formerly="imaging",
    formats_alone=("nifti", "dicom", "pictures"),
)
