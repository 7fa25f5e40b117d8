"""The paper's tables, made again: many runs, their results, and reports on them.

Touch it to add a baseline, a column of a table, or a place where sweeps run (it is
chosen in ``cli/sweep.py``). The words: a *run* is one method, trained and tested on one
normal class with one seed; a *task* is a group of runs that share work; a *sweep* is
all tasks of a grid; an *executor* is what carries them out; *results* are files with
one line per run; a *report* is tables and figures of results.

=============== ====================================================================
module          holds
=============== ====================================================================
published       the AUCs that the paper reports, from ``paper_auc.csv``
provenance      how a result came to be: commit, versions, machine, command
schema          what each field of a line of results may hold
measures        what a line says of scores: quality, seconds
results         files of results, read and appended to
shallow         what shallow detectors share: preprocessing, projection, folds
simple          nearest image, brightness, bytes of a file
support_vectors one-class support vector machines
baselines       all shallow detectors to compare with, by their names
few_labels      a few labeled anomalies: Deep SAD, and a classifier beside it
later           runs of the methods after Deep SVDD
tasks           what a sweep has to do
runs            how one task is done
executors       processes of this machine, or a Ray cluster
sweeps          all tasks that a file of results lacks; ensembles of their networks
reports         tables and figures of results, beside the paper's
label_reports   tables of results with labels: classes seen and not seen
later_reports   tables of the later methods, beside the simplest detectors
=============== ====================================================================
"""
