"""Files changed at random in ways that know their structure, and what must become of each."""
