print("apusfs")
