"""The doorway of the predecessor's configs, which import ``datasets.cranium_dataset``."""
