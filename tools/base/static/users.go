package static

// User is a user of the static base, with a group of the same name and number.
type User struct {
	Name string
	ID   int
	Home string
}

// Users returns the users of the static base, with the numbers and homes of distroless images.
func Users() []User {
	return []User{{"root", 0, "/root"}, {"nobody", 65534, "/nonexistent"}, {"nonroot", 65532, "/home/nonroot"}}
}
