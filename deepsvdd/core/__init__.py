"""The method: what there is to read, and to change, in the order in which data pass.

Touch it to try another preprocessing, network, loss, schedule or score. What makes it
fast is next door, in ``_engine``, and need not be read to understand it.

============== =====================================================================
module         holds
============== =====================================================================
preprocessing  contrast normalization, scaling to [0, 1] by the training data
networks       the networks φ, their decoders, the autoencoders that pretrain them;
               the weights that a seed draws
layers         two fast layers, here because the networks are made of them
residual       a residual network, larger than the paper's
fcn            the fully convolutional network of FCDD, and its maps enlarged
architecture   what a network must not have, by the paper's propositions
objectives     the loss functions, center, radius and score: the paper's equations
recipes        training settings, and the recipes with names
loop           the one training loop: order of the samples, batches, Adam, schedules
moments        mean and spread of representations that come in batches
representations  networks applied to data: φ(x), its mean, its distances to c
training       training of all objectives; the hypersphere that results
pretraining    autoencoders, whose encoders become networks φ
collapse       the check whether training has collapsed
trainer        builds, initializes, pretrains and trains the networks of a detector
metrics        AUC, average precision, false alarms, intervals
input_checks   what users may give to the estimator: parameters and samples
known          labels and weights of training samples
fingerprints   hashes of samples, by which a detector knows those that it has seen
scoring        anomaly scores of one network or several, and the threshold
conformal      promises from held-out scores: p-values, discoveries, thresholds
model_schema   what a model file must hold, checked wherever one is read
model_file     what of a fitted detector is stored in its file, and back
onnx_file      a detector as an ONNX file, to score elsewhere
model_tar      the authors' own model files, read
calibrated     what calibration adds to a detector
explanations   occlusion and integrated gradients of any score
stored         what model files and export add to a detector
explained      what explanations add to a detector: heat maps, contributions
detector       what all estimators share
estimator      ``DeepSVDD``, scikit-learn's way to use all this
deep_sad       ``DeepSAD``, the same with labels
outliers       outliers to learn from: known, or confetti
fcdd           ``FCDD``, whose representation is a map of the image
evaluation     a detector's test results, and the control that was never trained
plots          pictures of images, scores, training and representations
============== =====================================================================

Public names are in ``deepsvdd`` itself: ``from deepsvdd import DeepSVDD``.
"""

from deepsvdd.version import check_dependencies

check_dependencies()  # here, because `import deepsvdd` is instant and torch comes later
