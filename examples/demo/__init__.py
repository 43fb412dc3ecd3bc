"""`make demo`: camera and perception as two processes, watched live, scored and drawn."""
