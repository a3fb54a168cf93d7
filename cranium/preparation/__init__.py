"""Reading the raw ct-ich download and writing the prepared tree; needs no torch."""
