"""The only folder that speaks ROS: nodes, parameters, and messages to nouns and back."""
