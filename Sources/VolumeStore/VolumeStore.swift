// Module VolumeStore.
