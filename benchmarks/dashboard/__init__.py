"""The Grafana dashboard, drawn from a Prometheus."""
