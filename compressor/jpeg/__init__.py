"""JPEG (ITU-T T.81): what a file says (`frame`), bytes to coefficients (`reader`), coefficients to bytes (`writer`)."""
