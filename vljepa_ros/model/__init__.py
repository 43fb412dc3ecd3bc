"""VL-JEPA's four parts: tensors in, tensors out. The only library folder that imports torch."""
