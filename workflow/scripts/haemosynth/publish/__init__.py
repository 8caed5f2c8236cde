"""From a validated synthetic cohort to a folder that may leave the hospital."""
