"""The method: what there is to read, and to change, in the order of the book.

Touch it to try another preprocessing, network, loss, schedule or score. How it is made
fast is next door, in ``_engine``, and need not be read to understand it.

============== =====================================================================
module         holds
============== =====================================================================
preprocessing  contrast normalisation, scaling to [0, 1] by the training data
networks       the networks φ, their decoders, the autoencoders that pretrain them
layers         two layers of these networks, written for speed
architecture   what a network must not have, by the paper's propositions
objectives     the loss functions, center, radius and score: the paper's equations
recipes        training settings, and the named ones
training       pretraining; training of both objectives; the hypersphere that results
trainer        from a feed to trained networks: built, begun, pretrained, trained
metrics        AUC, average precision, false alarms, bootstrap intervals
validation     what users may give to the estimator
estimator      ``DeepSVDD``, scikit-learn's way to use all this
model_file     a fitted detector in one file, and back
model_tar      the authors' own model files, read
evaluation     a detector's test results, and the control that was never trained
plots          pictures of images, scores, training and representations
============== =====================================================================

Public names are in ``deepsvdd`` itself: ``from deepsvdd import DeepSVDD``.
"""
