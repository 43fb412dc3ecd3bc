"""Time: frames of a camera become clips, states and events. No ROS."""
