# Used only with ROS 2 from Python wheels, by -DCMAKE_PROJECT_INCLUDE=<this file>; a ROS
# installation needs nothing of this. It acts once the top CMakeLists.txt has been read, and so
# every package found.

# Some of the wheels' exported targets name include directories of the machine that built them, and
# CMake refuses a target whose include directories do not exist: drop those.
function(vljepa_drop_missing_includes target)
  get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
  if(NOT includes)
    return()
  endif()
  set(kept "")
  foreach(include IN LISTS includes)
    # Generator expressions are not paths; leave them to CMake.
    if(include MATCHES "\\$<" OR EXISTS "${include}")
      list(APPEND kept "${include}")
    endif()
  endforeach()
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
endfunction()

# The virtual environment, and so NumPy's headers, lies in the source tree, and CMake refuses to
# export such a path: it serves the build only.
function(vljepa_keep_source_includes_private target)
  get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
  if(NOT includes)
    return()
  endif()
  set(kept "")
  foreach(include IN LISTS includes)
    string(FIND "${include}" "${CMAKE_SOURCE_DIR}/" place)
    if(place EQUAL 0)
      list(APPEND kept "$<BUILD_INTERFACE:${include}>")
    else()
      list(APPEND kept "${include}")
    endif()
  endforeach()
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
endfunction()

function(vljepa_mend_wheel_targets)
  get_property(directories DIRECTORY "${CMAKE_SOURCE_DIR}" PROPERTY SUBDIRECTORIES)
  list(APPEND directories "${CMAKE_SOURCE_DIR}")
  foreach(directory IN LISTS directories)
    get_property(imported DIRECTORY "${directory}" PROPERTY IMPORTED_TARGETS)
    foreach(target IN LISTS imported)
      vljepa_drop_missing_includes(${target})
    endforeach()
    get_property(built DIRECTORY "${directory}" PROPERTY BUILDSYSTEM_TARGETS)
    foreach(target IN LISTS built)
      vljepa_keep_source_includes_private(${target})
    endforeach()
  endforeach()
endfunction()

# Included by each project() call; only the top one is meant.
if(CMAKE_SOURCE_DIR STREQUAL CMAKE_CURRENT_SOURCE_DIR)
  cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL vljepa_mend_wheel_targets)
endif()
