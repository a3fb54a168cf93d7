"""A local web page: a scan in, its hemorrhage outlined, measured and ready to be saved."""
