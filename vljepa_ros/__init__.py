"""VL-JEPA perception for ROS 2: meaning for every frame, words only when the meaning moves."""

from pkgutil import extend_path

# The generated messages (vljepa_ros.msg, .srv, .action) live in the colcon overlay under the same
# package name; without this line the source tree would hide them.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
