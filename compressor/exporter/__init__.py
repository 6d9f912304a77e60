"""Accrues what stored savings are worth, for as long as they are stored: batch runs end, somebody must count on."""
