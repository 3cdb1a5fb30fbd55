"""Resource types under the names that CloudFormation templates use."""
