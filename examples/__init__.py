"""Programs around the package: the only place that may join the simulated world and ROS."""
