"""The ledger of a batch run: what it did and is about to do, on disk, for the run itself and for readers."""
