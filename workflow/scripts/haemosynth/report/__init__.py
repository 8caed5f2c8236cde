"""What people read: the dossier, its figures, and the summary at the end of a run."""
