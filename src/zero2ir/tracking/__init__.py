"""What is recorded of a run: MLflow, telemetry, provenance."""
