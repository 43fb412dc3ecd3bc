"""What was recorded, perceived again: bags and videos in, states and events out. No ROS."""
