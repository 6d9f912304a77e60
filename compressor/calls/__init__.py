"""One call, without a transport: its thread, its pipes and the parts of its upload."""
