"""Training and evaluation of VL-JEPA, run in place (`python -m training.train …`); never ROS."""
