"""What operators see of the mill from outside: metrics of Prometheus, traces of OpenTelemetry."""
