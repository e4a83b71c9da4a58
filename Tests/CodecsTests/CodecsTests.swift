// Tests of this target stand in the files beside this one.
