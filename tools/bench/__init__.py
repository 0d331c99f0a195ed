"""The figures of docs/operator/performance: each measured in one run beside the limit it is compared with."""
