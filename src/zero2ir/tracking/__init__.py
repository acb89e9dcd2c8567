"""Records of runs: MLflow, telemetry, provenance."""
