"""Data sets: named ones, folders and arrays of your own, drawn traffic signs.

Touch it to add a data set (a row of the table in ``loading``, if torchvision has it) or
a kind of image file (``images``, ``image_files``). MNIST itself, three photographs, and
their licenses are in the folder ``bundled``; whoever replaces MNIST's file changes its
SHA-256 in ``loading``.

============ =======================================================================
module       holds
============ =======================================================================
splits       what a data set is, and its split into a normal class and the rest
loading      the table of data sets by name, and how each is found and checked
images       images that are read when they are needed: files of a folder, memory maps
image_files  how a picture in a file becomes numbers: as shown, at its own depth
samples      checks of the images that users pass
defects      defects put into images, to judge heat maps and to train FCDD
gtsrb        the file format of the traffic signs, read and written
signs        a program that draws such signs, for those who cannot get the real ones
pavement     a program that makes a disorderly folder of pictures, to practice on
============ =======================================================================

Of the names below, ``deepsvdd`` has ``load_dataset``, ``one_vs_rest``, ``Dataset`` and
``Split``, too.
"""

from deepsvdd.datasets.loading import CLASS_NAMES as CLASS_NAMES
from deepsvdd.datasets.loading import DATASETS as DATASETS
from deepsvdd.datasets.loading import DRAWN_SIGNS as DRAWN_SIGNS
from deepsvdd.datasets.loading import PREPROCESSING as PREPROCESSING
from deepsvdd.datasets.loading import dataset_file as dataset_file
from deepsvdd.datasets.loading import load_dataset as load_dataset
from deepsvdd.datasets.splits import Dataset as Dataset
from deepsvdd.datasets.splits import Split as Split
from deepsvdd.datasets.splits import one_vs_rest as one_vs_rest
