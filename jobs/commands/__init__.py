"""The commands of `refinenet-batch`, a file each: what is typed, what is printed, how it ends."""
