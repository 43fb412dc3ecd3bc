# Source this file: a shell in which python, the nodes' executables and the messages of this
# package are found. Made for ROS 2 from wheels (make setup); where a ROS 2 installation is used,
# source the colcon workspace's install/setup.bash instead.
#
#   source setup.bash
#   perception --ros-args -r image:=/camera/image_raw

_vljepa_root="$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")" && pwd)"
_vljepa_venv="$_vljepa_root/.venv"
_vljepa_overlay="$_vljepa_venv/overlay/install"

if [ ! -d "$_vljepa_overlay/lib/vljepa_ros" ]; then
  echo "setup.bash: nothing is built yet; run 'make setup' in $_vljepa_root first" >&2
  unset _vljepa_root _vljepa_venv _vljepa_overlay
  return 1 2>/dev/null || exit 1
fi
case "${AMENT_PREFIX_PATH:-}" in
  "" | "$_vljepa_overlay:"*) ;;
  *) echo "setup.bash: replaces the ROS 2 that was sourced before in this shell" >&2 ;;
esac

case ":$PATH:" in
  *":$_vljepa_overlay/lib/vljepa_ros:"*) ;;
  *) PATH="$_vljepa_overlay/lib/vljepa_ros:$_vljepa_venv/bin:$PATH" ;;
esac
export PATH
export VIRTUAL_ENV="$_vljepa_venv"
export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
export AMENT_PREFIX_PATH="$_vljepa_overlay:$_vljepa_venv"
# The source tree comes first, so that an edit needs no build.
export PYTHONPATH="$_vljepa_root"
LD_LIBRARY_PATH="$_vljepa_overlay/lib:$_vljepa_venv/lib"
for _vljepa_libs in "$_vljepa_venv"/lib/python3*/site-packages/ros_*.libs; do
  if [ -d "$_vljepa_libs" ]; then LD_LIBRARY_PATH="$LD_LIBRARY_PATH:$_vljepa_libs"; fi
done
export LD_LIBRARY_PATH
# The library path is complete: the wheels need not restart Python to set it.
export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
unset _vljepa_root _vljepa_venv _vljepa_overlay _vljepa_libs
