TEXT = "beside the program"
