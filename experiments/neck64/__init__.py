"""Programs that made the weights ``neck64``: training, packing, and the example beside them."""
