"""The modalities of a patient, a folder each; `modality.py` says what a folder offers, `registry.py` lists them."""
