"""The Lava Processes and their models, one kind a file.

Lava's compiler looks for models by executing every file of this folder, many times, so these files only define classes,
and import each other by full name: the compiler runs them outside of their package. Nothing is imported here, because
`neuro_lava` itself must import where Lava is not.
"""
