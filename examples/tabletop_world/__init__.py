"""The simulated tabletop as a robot on ROS: a camera, and skills that are asked for in words."""
