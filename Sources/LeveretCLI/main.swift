print("leveret")
