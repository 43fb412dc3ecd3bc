"""The running node measured against its bare model: `python -m vljepa_ros.ros.bench`."""
