"""JPEG (ITU-T T.81): the model of a file (`frame`), bytes to coefficients (`reader`), and back (`writer`)."""
