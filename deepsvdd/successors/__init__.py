"""What grew out of Deep SVDD, and what beats it: later one-class methods.

Each is a network φ, a loss that a page can show, and the score ‖φ(x) − c‖², so that
training loop, ensembles, threshold, p-values, heat maps, model files and export are
those of Deep SVDD. Touch it to try another of them, or one of your own. What differs is
how φ is made:

================ =================================================================
module           holds
================ =================================================================
transformations  rotations and translations of images, random linear maps of vectors
classified       φ(x) = √(−log p(t | T_t x)): how badly a classifier recognizes the
                 transformations of a sample (:class:`GEOM`)
clustered        the same by distances to a center per transformation (:class:`GOAD`)
surrounded       normal samples against those that gradient ascent finds around them
                 (:class:`DROCC`)
exposed          the hypersphere classifier, against outliers of another data set
                 (:class:`HSC`)
frozen           distances between features of a network that is not trained any more
                 (:class:`FrozenFeatures`)
bank             features of the training samples, to compare others with
base             what they share
saved            model files of any estimator
================ =================================================================
"""
