"""The gRPC service. All decisions are those of the pipeline."""
