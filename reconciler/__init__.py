"""reconciler: policy-as-code for virtual-machine backup."""

__version__ = "0.2.0"
