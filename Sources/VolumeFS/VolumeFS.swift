// Module VolumeFS.
