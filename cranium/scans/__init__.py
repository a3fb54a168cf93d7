"""CT scans from files: DICOM, NIfTI and pictures become slices in Hounsfield units (HU), one way.

Needs no torch.
"""
