"""Several runs of one frozen backbone in one process, stacked along a run axis.

Seeds of a method, and trials that differ from it in rates alone, share a backbone that none of them
changes. Its products are done once for the batches of all runs; what a run trains (adapters and
head) is stacked and multiplied in batched products. Each run keeps its own order of sentences,
dropout, loss, clipping and optimizer, so that it computes what it would by itself, within float32's
round-off: the sums of a product have another order in a larger one.

`model` is the forward pass, `masks` its dropout, `loop` the training.
"""
