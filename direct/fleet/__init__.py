"""Many core files at once: gomap triage and gomap sql."""
